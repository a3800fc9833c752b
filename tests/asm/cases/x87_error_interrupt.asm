; With CR0.NE clear an unmasked x87 exception is FERR#: the processor waits at the next waiting instruction for
; the interrupt that it causes. FNCLEX lets FERR# go. SDM 3A 8.7.1.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    0x30, error, 0x8E
        GATE    0x20, other, 0x8E
        mov     eax, cr0
        and     eax, ~0x20              ; NE
        mov     cr0, eax
        xor     ebx, ebx
        fninit
        mov     word [DATA], 0x37B      ; ZE unmasked
        fldcw   [DATA]
        sti
        mov     ecx, 3
again:  fld1
        fldz
        fdivp   st1, st0
        fnstsw  ax                      ; doesn't wait
        lea     edx, [ebx]
waits:  fstp    st0
        sub     edx, ebx
        CHECK   edx, -1                 ; before it, not behind it
        dec     ecx
        jnz     again
        CHECK   ebx, 3
        mov     dx, 0xF0F0              ; FERR# is gone: the next one is the other interrupt
        mov     al, 1
        out     dx, al
        nop
        CHECK   ebx, 0x13
        cli
        jmp     done
error:  CHECK_STACK 0, waits
        fnclex
        inc     ebx
        iretd
other:  add     ebx, 0x10
        iretd
done:   mov     eax, cr0
        or      eax, 0x20
        mov     cr0, eax
        fninit
