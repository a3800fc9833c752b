; FLDCW, FNSTCW, rounding control, FNCLEX, FINCSTP, FFREE, FNSTENV and FLDENV.

%define MODE user32
%include "common.inc"

        finit
        fnstcw  [DATA]
        CHECK   dword [DATA], 0x37F
        mov     word [DATA], 0x0F7F     ; towards zero
        fldcw   [DATA]
        fld     dword [value]
        fist    dword [DATA + 4]
        CHECK   dword [DATA + 4], -2
        mov     word [DATA], 0x077F     ; down
        fldcw   [DATA]
        frndint
        fistp   dword [DATA + 4]
        CHECK   dword [DATA + 4], -3
        fincstp
        fnstsw  ax
        and     eax, 0x3800
        CHECK   eax, 0x0800
        fdecstp
        fld1
        fldz
        fdivp   st1, st0                ; 1 / 0: ZE, masked
        fnstsw  ax
        test    al, 4
        jnz     divided
        FAIL
value:  dd      -2.75
divided:
        fnclex
        fnstsw  ax
        and     eax, 0xFF
        CHECK   eax, 0
        ffree   st0
        fnstenv [DATA + 16]
        CHECK   dword [DATA + 24], 0xFFFFFFFF
        fld1
        fldenv  [DATA + 16]
        fnstenv [DATA + 48]
        mov     ax, [DATA + 52]
        cmp     ax, [DATA + 20]
        je      done
        FAIL
done:   fninit
        mov     dword [DATA + 28], 0    ; pointers to the last instruction: processors differ
        mov     dword [DATA + 32], 0
        mov     dword [DATA + 36], 0
        mov     dword [DATA + 40], 0
        mov     dword [DATA + 60], 0
        mov     dword [DATA + 64], 0
        mov     dword [DATA + 68], 0
        mov     dword [DATA + 72], 0
