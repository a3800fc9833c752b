; No interrupt between MOV SS and the instruction after it.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    0x20, interrupt, 0x8E
        mov     dx, 0xF0F0
        mov     al, 1
        mov     ecx, 0x10
        sti
        nop
        cli
        out     dx, al
        pushfd
        or      dword [esp], IF
        popfd                           ; no shadow: the interrupt is taken at once
        CHECK   ebx, 0x10
        CHECK   esi, 0
        jmp     done
interrupt:
        add     ebx, 0x10
        iretd
done:   cli
