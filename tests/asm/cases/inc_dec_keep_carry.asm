; INC and DEC leave CF alone.

%define MODE user32
%include "common.inc"

        stc
        mov     eax, 0xFFFFFFFF
        ALU     {inc eax}, 0, CF | ZF | AF | PF
        clc
        ALU     {dec eax}, 0xFFFFFFFF, SF | AF | PF
        mov     eax, 0x7FFF
        ALU     {inc ax}, 0x8000, SF | OF | AF | PF
        stc
        mov     byte [DATA], 0x80
        mov     eax, 1
        ALU     {dec byte [DATA]}, 1, CF | OF | AF
        CHECK   dword [DATA], 0x7F
