; #DF: a fault in delivering #GP; without a handler for that, a triple fault ends it all (in #GP).
; fault: 13
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    8, double, 0x8E
        mov     word [IDT_BASE + 13 * 8 + 4], 0 ; #GP's gate isn't there
        mov     ax, 0x1000
        mov     ds, ax
        FAIL
double: CHECK_STACK 0, 0
        lidt    [nothing]
        ud2
nothing: dd     0, 0
