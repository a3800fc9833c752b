; PCMPISTRI, PCMPESTRM, PTEST, PEXTRx, PINSRx, PBLENDVB, ROUNDSS, MPSADBW.

%define MODE user32
%include "common.inc"

        movdqu  xmm0, [text]
        movdqu  xmm1, [vowels]
        pcmpistri xmm1, xmm0, 0
        CHECK_FLAGS CF, CF
        CHECK   ecx, 1                  ; the first vowel in "hello"
        mov     eax, 5
        mov     edx, 5
        pcmpestrm xmm1, xmm0, 0x40      ; as bytes
        pmovmskb eax, xmm0
        CHECK   eax, 0x12
        ptest   xmm1, xmm1
        CHECK_FLAGS ARITHMETIC, CF
        pextrd  eax, xmm1, 0
        CHECK   eax, 'aeio'
        mov     eax, 0x12345678
        pinsrb  xmm1, eax, 3
        pextrw  ebx, xmm1, 1
        CHECK   ebx, 0x7869
        movss   xmm2, [fraction]
        roundss xmm2, xmm2, 1
        cvttss2si eax, xmm2
        CHECK   eax, -3
        pmovsxbd xmm3, [text]
        mpsadbw xmm3, xmm1, 0
        pblendvb xmm3, xmm1, xmm0
        phminposuw xmm4, xmm3
        jmp     done
text:   db      "hello", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
vowels: db      "aeiou", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
fraction: dd    -2.5
done:
