# Between ring 3 and the kernel, and from one kernel stack to another. What lies on the stack is always a TrapFrame (trap_frame.h), at
# the very top of the process's kernel stack: the CPU begins there (esp0 in the task state, and the SYSENTER register).
#
# Ring 3 is not trusted with anything but its own memory. It may come with null data segments, the direction flag up, a stack pointer
# to nowhere, flags NT or TF set; and with an address to return to behind the end of its code segment, so that the IRET below faults in
# the kernel (Intel SDM 2A, IRET: #GP when EIP is not within the limit). trap_dispatch() knows the three IRETs by their labels.

.set USER_CODE, 0x1B
.set USER_DATA, 0x23
.set KERNEL_CODE, 0x08
.set USER_FLAGS, 0x202                  # interrupts on
.set SYSTEM_CALL_VECTOR, 0x80

# Offsets in a TrapFrame.
.set DS, 12
.set EAX, 44
.set EIP, 56
.set FRAME, 76

.section .text

# Number in EAX, the frame on top of the stack: calls the handler. Afterwards EAX is what the caller gets. The data segments that the
# kernel uses are the user's, whoever runs: so after SYSENTER they need no change on the way back.
.macro call_handler
    mov $USER_DATA, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    incl system_calls_made
    cmp system_call_numbers, %eax
    jae 8f
7:  mov system_call_handlers, %ecx
    push %esp                           # the arguments: the frame
    call *(%ecx,%eax,4)                 # Result<uint32_t> in EAX (value) and EDX (error)
    add $4, %esp
    test %edx, %edx
    jne 9f
6:
.endm

# What call_handler seldom does, out of the way.
.macro call_handler_exceptions
8:  mov system_call_numbers, %eax       # no such call: the handler behind the last one
    jmp 7b
9:  push %edx
    call *system_call_error_number      # int error_number(Error)
    add $4, %esp
    neg %eax
    jmp 6b
.endm

.global system_call_entry
.type system_call_entry, @function
system_call_entry:                      # int 0x80: the CPU has pushed SS, ESP, EFLAGS, CS and EIP
    push $0
    push $SYSTEM_CALL_VECTOR
    pusha
    push %ds
    push %es
    push %fs
    push %gs
    cld
    call_handler
    mov %eax, EAX(%esp)
    cmpl $0, user_return_work
    jne return_with_work
    pop %gs
    pop %fs
    pop %es
    pop %ds
    popa
    add $8, %esp                        # vector, error code
.global system_call_iret
system_call_iret:
    iret
    call_handler_exceptions
.size system_call_entry, . - system_call_entry

# SYSENTER pushes nothing; ESI is the caller's stack pointer, EDI the address to return to. The compiler's convention has kept EBX, ESI,
# EDI and EBP for us when the handler returns, so only what it may have changed needs a thought.
.global sysenter_entry
.type sysenter_entry, @function
sysenter_entry:
    push $USER_DATA
    push %esi
    push $USER_FLAGS
    push $USER_CODE
    push %edi
    sub $8, %esp                        # vector, error code
    pusha
    sub $16, %esp                       # data segments: flat, written down only when somebody looks at them
    push $2                             # known flags: a nested task (NT) would turn IRET into something else, TF would trap
    popf
    ljmp $KERNEL_CODE, $1f              # SYSENTER's code segment has no limit; ours ends with the kernel's text
1:  call_handler
    cmpl $0, user_return_work
    jne sysenter_return_with_work
    xor %ecx, %ecx                      # nothing of the kernel's leaks (EDX is the error, 0, or errno's business)
    add $EIP, %esp
.global sysenter_iret
sysenter_iret:
    iret
    call_handler_exceptions

sysenter_return_with_work:
    movl $USER_DATA, 0(%esp)
    movl $USER_DATA, 4(%esp)
    movl $USER_DATA, 8(%esp)
    movl $USER_DATA, DS(%esp)
    mov %eax, EAX(%esp)
.size sysenter_entry, . - sysenter_entry

.type return_with_work, @function
return_with_work:
    push %esp                           # the frame
    call do_return_work                 # void do_return_work(TrapFrame*): preemption, signals
    add $4, %esp
    jmp load_user_registers
.size return_with_work, . - return_with_work

# void enter_user_mode(TrapFrame* frame)
.global enter_user_mode
.type enter_user_mode, @function
enter_user_mode:
    mov 4(%esp), %esp
load_user_registers:
    pop %gs
    pop %fs
    pop %es
    pop %ds
    popa
    add $8, %esp
.global enter_user_mode_iret
enter_user_mode_iret:
    iret
.size enter_user_mode, . - enter_user_mode

# void switch_stack(KernelContext* from, const KernelContext* to): what the compiler expects a function to keep, nothing else.
.global switch_stack
.type switch_stack, @function
switch_stack:
    mov 4(%esp), %eax
    mov 8(%esp), %edx
    push %ebp
    push %ebx
    push %esi
    push %edi
    mov %esp, (%eax)
    mov (%edx), %esp
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret
.size switch_stack, . - switch_stack

.section .note.GNU-stack, "", @progbits
