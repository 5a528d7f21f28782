// Where a program begins, and the ways into the kernel that C++ cannot write.

    .section .text.start, "ax"

// The kernel leaves argc, the arguments' addresses and a null on the stack. start_program() expects 16-byte alignment at its call
// (System V ABI, Intel386 supplement).
    .globl _start
    .hidden start_program
_start:
    xor %ebp, %ebp          // the outermost frame: backtraces end here
    mov %esp, %eax
    and $-16, %esp
    sub $12, %esp
    push %eax
    call start_program
    ud2

    .text

// system_call_with_six(call, first, ..., sixth): 16 bytes of saved registers and the return address lie below the arguments.
    .globl system_call_with_six
    .hidden system_call_with_six
system_call_with_six:
    push %ebp
    push %ebx
    push %esi
    push %edi
    mov 20(%esp), %eax
    mov 24(%esp), %ebx
    mov 28(%esp), %ecx
    mov 32(%esp), %edx
    mov 36(%esp), %esi
    mov 40(%esp), %edi
    mov 44(%esp), %ebp
    int $0x80
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret

// The kernel returns to EDI with the stack at ESI: right behind the call that led here (abi/system_calls.h).
    .globl enter_kernel_fast
    .hidden enter_kernel_fast
enter_kernel_fast:
    pop %edi
    mov %esp, %esi
    sysenter

// Where a signal handler returns to: abi::SystemCall::SignalReturn (signals.cpp asserts the number).
    .globl return_from_signal
    .hidden return_from_signal
return_from_signal:
    mov $8, %eax
    int $0x80
    ud2

    .section .note.GNU-stack, "", @progbits
