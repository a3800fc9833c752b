; CPUID, RDTSC, RDTSCP, RDPMC, RDPID, RDMSR, WRMSR, XSETBV, RDRAND, RDSEED.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    13, skip, 0x8E
        xor     eax, eax
        cpuid
        CHECK   ebx, 'Genu'
        mov     eax, 1
        cpuid
        and     edx, 1
        CHECK   edx, 1
        rdtsc
        mov     esi, eax
        rdtscp
        sub     eax, esi
        test    eax, eax
        jg      onwards
        FAIL
onwards:
        mov     ecx, 0xC0000103         ; IA32_TSC_AUX
        mov     eax, 0x1234
        xor     edx, edx
        wrmsr
        rdpid   edi
        CHECK   edi, 0x1234
        rdtscp
        CHECK   ecx, 0x1234
        mov     ecx, 0xC0000080
        rdmsr
        and     eax, 0x800
        CHECK   eax, 0x800              ; NXE
        xor     ecx, ecx
        xgetbv
        xsetbv
again:  rdrand  eax
        jnc     again
again2: rdseed  eax
        jnc     again2
        xor     ebp, ebp
        mov     esi, after
        mov     ecx, 0x12345678         ; no such MSR
        rdmsr
after:  CHECK   ebp, 1
        mov     esi, after2
        xor     ecx, ecx
        xor     eax, eax                ; XCR0 without x87
        xor     edx, edx
        xsetbv
after2: CHECK   ebp, 2
        mov     esi, after3
        xor     ecx, ecx
        rdpmc
after3: jmp     done
skip:   inc     ebp
        add     esp, 4
        mov     [esp], esi
        iretd
done:
