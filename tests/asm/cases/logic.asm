; AND, OR, XOR, TEST, NOT, NEG.
; undefined: af

%define MODE user32
%include "common.inc"

%define DEFINED (CF | PF | ZF | SF | OF)
        mov     eax, 0xF0F0F0F0
        and     eax, 0x0FF00FF0
        CHECK_FLAGS DEFINED, PF
        CHECK   eax, 0x00F000F0
        or      eax, 0x8000000F
        CHECK_FLAGS DEFINED, SF | PF
        CHECK   eax, 0x80F000FF
        xor     eax, eax
        CHECK_FLAGS DEFINED, ZF | PF
        mov     eax, 0x80
        test    al, al
        CHECK_FLAGS DEFINED, SF
        stc
        not     eax
        CHECK_FLAGS CF, CF
        CHECK   eax, 0xFFFFFF7F
        neg     eax
        CHECK_FLAGS DEFINED, CF | PF
        CHECK   eax, 0x81
        mov     eax, 0x80000000
        ALU     {neg eax}, 0x80000000, CF | SF | OF | PF
        xor     eax, eax
        ALU     {neg eax}, 0, ZF | PF
        mov     word [DATA], 0x00FF
        not     word [DATA]
        CHECK   dword [DATA], 0xFF00
