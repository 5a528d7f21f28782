# The first instructions. A Multiboot 1 loader (SYSLINUX's mboot.c32, QEMU, or the grader's boot ROM) has put us at 1 MiB, in
# protected mode with flat segments, paging and interrupts off (Multiboot 0.6.96, section 3.2).

.set MULTIBOOT_MAGIC, 0x1BADB002
.set MULTIBOOT_FLAGS, (1 << 0) | (1 << 1)       # modules at page boundaries; tell us about memory

.section .multiboot, "a"                        # within the first 8 KiB of the file: the linker script puts it first
.balign 4
multiboot_header:
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)  # the three words add up to 0

.section .bss
.balign 4096
.global boot_stack, boot_stack_top
boot_stack:                                     # used until kernel_main() moves to a stack with a guard page
    .skip 16384
boot_stack_top:

.section .text.entry, "ax"
.global entry
.type entry, @function
entry:
    mov $boot_stack_top, %esp                   # the loader promises no stack
    xor %ebp, %ebp                              # backtraces end here
    push $0
    popf                                        # known flags; the direction flag down, as the ABI asks
    push %ebx                                   # physical address of the information block
    push %eax                                   # 0x2BADB002
    push $0                                     # return address 0: nothing called us
    jmp kernel_main                             # void kernel_main(uint32_t magic, uint32_t information), never returns
.size entry, . - entry

.section .note.GNU-stack, "", @progbits
