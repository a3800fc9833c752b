; FCOM, FCOMI, FTST, FXAM and FUCOM: conditions in the status word and in EFLAGS.

%define MODE user32
%include "common.inc"

        finit
        fld1
        fldz
        fcom    st1
        fnstsw  ax
        and     eax, 0x4500
        CHECK   eax, 0x0100             ; 0 < 1
        fcomi   st1
        CHECK_FLAGS CF | ZF | PF, CF
        fxch
        fucomi  st1
        CHECK_FLAGS CF | ZF | PF, 0
        ftst
        fnstsw  ax
        and     eax, 0x4500
        CHECK   eax, 0
        fxam
        fnstsw  ax
        and     eax, 0x4700
        CHECK   eax, 0x0400             ; normal, positive
        fcompp
        fld     dword [nan]
        fld1
        fucomip st1
        CHECK_FLAGS CF | ZF | PF, CF | ZF | PF
        fstp    st0
        fxam
        fnstsw  ax
        and     eax, 0x4500
        CHECK   eax, 0x4100             ; empty
        jmp     done
nan:    dd      0x7FC00000
done:
