; x87: loads, the four operations and their reversed and popping forms, integer operands.

%define MODE user32
%include "common.inc"

        finit
        fld1
        fadd    st0, st0                ; 2
        fild    word [three]
        fmulp   st1, st0                ; 6
        fisub   dword [one]             ; 5
        fidivr  word [three]            ; 0.6
        fmul    qword [ten]             ; 6
        fsubr   dword [half]            ; -5.5
        fchs
        fst     dword [DATA]
        CHECK   dword [DATA], 0x40B00000
        fabs
        fistp   dword [DATA]            ; to even: 6
        CHECK   dword [DATA], 6
        fldpi
        fstp    tword [DATA]
        CHECK   dword [DATA], 0x2168C235
        CHECK   dword [DATA + 4], 0xC90FDAA2
        fld     qword [ten]
        fld     dword [half]
        fdivp   st1, st0                ; 20
        fisttp  word [DATA]
        mov     ax, [DATA]
        cmp     ax, 20
        je      good
        FAIL
align 8
ten:    dq      10.0
half:   dd      0.5
one:    dd      1
three:  dw      3
good:   fnstsw  ax
        test    ax, 0x3800              ; the stack is empty again
        jz      done
        FAIL
done:
