; A store into code that has run, and into the next instruction, is seen at once.

%define MODE user32
%include "common.inc"

        mov     esi, 3
        xor     edx, edx
loop:
patched:
        add     edx, 1
        mov     byte [patched + 2], 5
        dec     esi
        jnz     loop
        CHECK   edx, 11
        mov     byte [next], 0x40       ; INC EAX over NOP
        xor     eax, eax
        jmp     $ + 2
        mov     byte [next + 1], 0x40
next:   nop
        nop
        CHECK   eax, 2
