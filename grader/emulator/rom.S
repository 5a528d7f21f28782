// The boot ROM, as a PC's firmware lies: the last bytes below 4 GiB. rom.py puts the kernel's segments, the modules and the
// Multiboot information in front of it and fills in the boot table below. All the thinking is done there; this only opens
// A20, enters protected mode, copies what the table lists and jumps to the kernel as Multiboot 1 (section 3.2) demands.
//
// The processor starts in real mode at CS:IP = F000:FFF0 with CS's hidden base at FFFF0000 (Intel SDM 3A, 9.1.4), so a
// 16-bit offset reaches the last 64 KiB.

.set kCodeSelector, 0x08
.set kDataSelector, 0x10
.set kRomOffset, 0xFE00            // of boot_table in the last 64 KiB
.set kSystemControlPort, 0x92       // bit 1: A20 open; bit 0 would reset the machine
.set kProtectionEnable, 0x00000001  // CR0.PE
.set kCacheBitsOff, 0x9FFFFFFF      // everything but CR0.CD and CR0.NW, which are set at reset
.set kMultibootMagic, 0x2BADB002

.section .boot, "ax"

// Filled in by rom.py. A record is four words: source, destination, bytes to copy, bytes to zero behind them.
boot_table:
records:      .long 0
record_count: .long 0
kernel_entry: .long 0
information:  .long 0

// Flat segments, marked as accessed beforehand: the processor cannot write to this ROM.
.balign 8
descriptors:
    .quad 0
    .quad 0x00CF9B000000FFFF        // code, 0 to 4 GiB, ring 0
    .quad 0x00CF93000000FFFF        // data, 0 to 4 GiB, ring 0
descriptors_end:
descriptor_register:
    .word descriptors_end - descriptors - 1
    .long descriptors

.code16
real_mode:
    cli
    cld
    movb $2, %al
    outb %al, $kSystemControlPort
    lgdtl %cs:(descriptor_register - boot_table + kRomOffset)
    movl %cr0, %eax
    andl $kCacheBitsOff, %eax
    orl $kProtectionEnable, %eax
    movl %eax, %cr0
    ljmpl $kCodeSelector, $protected_mode

.code32
protected_mode:
    movw $kDataSelector, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl records, %ebp
    movl record_count, %ebx
next_record:
    subl $1, %ebx
    js start_kernel
    movl 0(%ebp), %esi
    movl 4(%ebp), %edi
    movl 8(%ebp), %edx
    movl %edx, %ecx
    shrl $2, %ecx
    rep movsl
    movl %edx, %ecx
    andl $3, %ecx
    rep movsb
    xorl %eax, %eax
    movl 12(%ebp), %edx
    movl %edx, %ecx
    shrl $2, %ecx
    rep stosl
    movl %edx, %ecx
    andl $3, %ecx
    rep stosb
    addl $16, %ebp
    jmp next_record

start_kernel:
    movl $kMultibootMagic, %eax
    movl information, %ebx
    jmp *kernel_entry

.org 0x1F0                          // the reset vector, 16 bytes below 4 GiB
.code16
    jmp real_mode
.org 0x200
