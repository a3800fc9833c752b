; STI's shadow, HLT until an interrupt, IF after IRETD.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    0x20, interrupt, 0x8E
        xor     ebx, ebx
        mov     dx, 0xF0F0              ; the test machine's interrupt line
        mov     al, 1
        out     dx, al
        nop
        CHECK   ebx, 0                  ; IF is clear
        sti
        inc     ebx                     ; runs in the shadow
        CHECK   ebx, 0x11
        cli
        out     dx, al
        sti
        hlt                             ; the interrupt comes after HLT has begun
        CHECK   ebx, 0x21
        cli
        jmp     done
interrupt:
        add     ebx, 0x10
        iretd
done:
