; MMX: saturation, packing, multiplication, shifts; TOP becomes 0 and EMMS empties the tags.

%define MODE user32
%include "common.inc"

        finit
        fld1                            ; TOP 7
        movq    mm0, [a]
        paddsw  mm0, [b]
        movd    [DATA], mm0
        CHECK   dword [DATA], 0x80007FFF
        movq    mm1, [a]
        paddusb mm1, [b]
        packuswb mm1, mm0
        pmaddwd mm0, [a]
        movq    [DATA + 8], mm0
        psrlq   mm0, 32
        punpcklbw mm0, mm1
        pmovmskb eax, mm1
        pshufw  mm2, mm1, 0x1B
        pxor    mm3, mm3
        pcmpeqb mm3, mm0
        fnstsw  ax
        and     eax, 0x3800
        CHECK   eax, 0
        emms
        fnstenv [DATA + 16]
        CHECK   dword [DATA + 24], 0xFFFFFFFF
        mov     edi, DATA + 16
        mov     ecx, 7
        xor     eax, eax
        rep stosd
        jmp     done
align 8
a:      dw      0x7FFF, 0x8000, 0x1234, 0xFFFF
b:      dw      0x0001, 0xFFFF, 0x4321, 0x0001
done:
