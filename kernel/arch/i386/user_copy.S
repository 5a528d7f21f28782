# Copies that may fault: each access to user memory has a fix-up (fixups.h), which goes on where the copy reports how it ended.

.macro may_fault access, continuation
    .pushsection .fixups, "a"
    .long \access, \continuation
    .popsection
.endm

.section .text

# bool copy_with_fixup(void* to, const void* from, size_t bytes): false when either side faulted; a part has been copied then.
.global copy_with_fixup
.type copy_with_fixup, @function
copy_with_fixup:
    push %esi
    push %edi
    mov 12(%esp), %edi
    mov 16(%esp), %esi
    mov 20(%esp), %edx
    mov %edx, %ecx
    shr $2, %ecx
1:  rep movsl
    may_fault 1b, 3f
    mov %edx, %ecx
    and $3, %ecx
2:  rep movsb
    may_fault 2b, 3f
    mov $1, %eax
    pop %edi
    pop %esi
    ret
3:  xor %eax, %eax
    pop %edi
    pop %esi
    ret
.size copy_with_fixup, . - copy_with_fixup

# bool touch_with_fixup(void* byte): writes a byte that is there already; false when that faulted. One access that reads and writes
# faults as a write (Intel SDM 3A, 4.7), so the page is made ready for writing at once.
.global touch_with_fixup
.type touch_with_fixup, @function
touch_with_fixup:
    mov 4(%esp), %edx
1:  orb $0, (%edx)
    may_fault 1b, 2f
    mov $1, %eax
    ret
2:  xor %eax, %eax
    ret
.size touch_with_fixup, . - touch_with_fixup

# int copy_text_with_fixup(char* to, const char* from, size_t bytes): copies up to a zero byte, which is copied as well, or until
# `bytes` are copied. The text's length; `bytes` when there was no zero byte; -1 after a fault.
.global copy_text_with_fixup
.type copy_text_with_fixup, @function
copy_text_with_fixup:
    push %esi
    push %edi
    mov 12(%esp), %edi
    mov 16(%esp), %esi
    mov 20(%esp), %edx
    xor %ecx, %ecx
1:  cmp %edx, %ecx
    jae 3f
2:  mov (%esi,%ecx), %al
    may_fault 2b, 4f
    mov %al, (%edi,%ecx)
    test %al, %al
    jz 3f
    inc %ecx
    jmp 1b
3:  mov %ecx, %eax
    pop %edi
    pop %esi
    ret
4:  mov $-1, %eax
    pop %edi
    pop %esi
    ret
.size copy_text_with_fixup, . - copy_text_with_fixup

.section .note.GNU-stack, "", @progbits
