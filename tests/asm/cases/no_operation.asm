; NOP, PAUSE, prefetches, fences, CLFLUSH: nothing happens, and prefetching nothing is no fault.

%define MODE user32
%include "common.inc"

        nop
        pause
        nop     dword [eax + 0x10000000]
        prefetchnta [0]
        prefetcht0 [0]
        prefetcht1 [0]
        prefetcht2 [0]
        prefetchw [0]
        lfence
        mfence
        sfence
        clflush [DATA]
        endbr32
        CHECK   eax, 0
