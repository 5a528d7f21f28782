# Where exceptions and interrupts enter. Each of the 48 vectors has a stub that leaves the stack alike (an error code, the
# vector) and goes to the common part, which builds a TrapFrame (trap_frame.h) and calls trap_dispatch() in C++.

.set KERNEL_CODE, 0x08
.set USER_DATA, 0x23                    # the data segments of kernel and user code alike: base 0, no limit. Only SS needs ring 0's

.section .text

# Exceptions for which the CPU pushes an error code (Intel SDM 3A, table 6-1): 8, 10 to 14, 17, 21, 29, 30.
.macro stub vector
.balign 16
    .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17) || (\vector == 21) || (\vector == 29) || (\vector == 30)
    .else
    push $0
    .endif
    push $\vector
    jmp trap_common
.endm

.global trap_stubs
.type trap_stubs, @function
.balign 16
trap_stubs:                             # vector N enters at trap_stubs + 16 * N
.altmacro                               # lets %vector pass the number, not the name
.set vector, 0
.rept 48
    stub %vector
    .set vector, vector + 1
.endr
.noaltmacro
.size trap_stubs, . - trap_stubs

.type trap_common, @function
trap_common:
    pusha
    push %ds
    push %es
    push %fs
    push %gs
    mov $USER_DATA, %eax                # ring 3 may have left anything in the data segments
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    cld
    push %esp                           # the TrapFrame
    call trap_dispatch                  # void trap_dispatch(TrapFrame*)
    add $4, %esp
    pop %gs
    pop %fs
    pop %es
    pop %ds
    popa
    add $8, %esp                        # vector, error code
.global trap_iret
trap_iret:
    iret
.size trap_common, . - trap_common

# The double fault's task starts here, on its own stack, with the error code (always 0) pushed.
.global double_fault_entry
.type double_fault_entry, @function
double_fault_entry:
    xor %ebp, %ebp
    push $0                             # return address 0: a backtrace ends here
    jmp double_fault_dispatch           # never returns
.size double_fault_entry, . - double_fault_entry

# void panic(const char* reason, const char* file, int line), by its C++ name: saves the caller's registers before anything
# changes them. The stack is a PanicCall then (trap_frame.h).
.global _Z5panicPKcS0_i
.type _Z5panicPKcS0_i, @function
_Z5panicPKcS0_i:
    pushf
    pusha
    cli
    cld
    push %esp
    call panic_called                   # never returns
.size _Z5panicPKcS0_i, . - _Z5panicPKcS0_i

# void load_segments(const void* table_register, uint32_t stack_selector, uint32_t task_selector)
.global load_segments
.type load_segments, @function
load_segments:
    mov 4(%esp), %eax
    lgdt (%eax)
    ljmp $KERNEL_CODE, $1f              # CS changes only by a far jump
1:  mov $USER_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov 8(%esp), %eax
    mov %eax, %ss
    mov 12(%esp), %eax
    ltr %ax
    xor %eax, %eax
    lldt %ax                            # no local descriptors
    ret
.size load_segments, . - load_segments

# bool probe_word(uint32_t address, uint32_t* word): reads a word that may not be there. The page fault handler knows the one
# instruction that may fault, and goes on at probe_word_failed instead of panicking.
.global probe_word, probe_word_access, probe_word_failed
.type probe_word, @function
probe_word:
    mov 4(%esp), %ecx
    mov 8(%esp), %edx
probe_word_access:
    mov (%ecx), %eax
    mov %eax, (%edx)
    mov $1, %eax
    ret
probe_word_failed:
    xor %eax, %eax
    ret
.size probe_word, . - probe_word

.section .note.GNU-stack, "", @progbits
