; TF: a trap after each instruction; a hardware breakpoint on data and one on code.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    1, trap, 0x8E
        xor     ebx, ebx
        pushfd
        or      dword [esp], TF
        popfd
        nop                             ; trap
        nop                             ; trap
        pushfd                          ; trap
        and     dword [esp], ~TF        ; trap
        popfd                           ; trap: TF was set when it began
        CHECK   ebx, 5
        mov     eax, dr6
        and     eax, 0x4000
        CHECK   eax, 0x4000
        xor     eax, eax
        mov     dr6, eax
        mov     eax, DATA + 0x20
        mov     dr0, eax
        mov     eax, 0x000D0002         ; four bytes, writes
        mov     dr7, eax
        mov     eax, [DATA + 0x20]      ; reads don't count
        CHECK   ebx, 5
        mov     [DATA + 0x22], al
        CHECK   ebx, 6
        mov     eax, dr6
        and     eax, 15
        CHECK   eax, 1
        mov     eax, here
        mov     dr1, eax
        mov     eax, 8                  ; execution
        mov     dr7, eax
here:   nop
        CHECK   ebx, 7
        xor     eax, eax
        mov     dr7, eax
        jmp     done
trap:   inc     ebx
        or      dword [esp + 8], 0x10000        ; RF, for the code breakpoint
        iretd
done:
