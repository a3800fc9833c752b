; ADC and SBB: 96-bit addition and subtraction through the carry.

%define MODE user32
%include "common.inc"

        mov     eax, 0xFFFFFFFF
        mov     ebx, 0xFFFFFFFF
        mov     ecx, 0x00000001
        add     eax, 1
        adc     ebx, 0
        adc     ecx, 0
        CHECK   eax, 0
        CHECK   ebx, 0
        CHECK   ecx, 2
        sub     eax, 1
        sbb     ebx, 0
        sbb     ecx, 0
        CHECK   eax, 0xFFFFFFFF
        CHECK   ebx, 0xFFFFFFFF
        CHECK   ecx, 1
        stc
        mov     eax, 0x7FFFFFFF
        ALU     {adc eax, 0}, 0x80000000, SF | OF | AF | PF
        stc
        mov     eax, 0xFFFFFFFF
        ALU     {adc eax, 0xFFFFFFFF}, 0xFFFFFFFF, CF | SF | AF | PF
        stc
        mov     eax, 0x80
        ALU     {sbb al, 0x7F}, 0, OF | ZF | AF | PF
        stc
        sbb     edx, edx
        CHECK   edx, 0xFFFFFFFF
