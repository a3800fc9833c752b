; CR0.TS, EM and MP: who raises #NM, who #UD, and who nothing.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

; FAULTS vector, instruction: it faults, and after its fault goes on behind itself. EBX counts.
%macro FAULTS 2
        mov     ecx, %1
        mov     esi, %%after
        %2
        FAIL
%%after:
%endmacro
        LOAD_IDT
        GATE    6, undefined, 0x8E
        GATE    7, unavailable, 0x8E
        fninit
        mov     eax, cr0
        mov     ebp, eax
        or      eax, 8                  ; TS
        and     eax, ~6                 ; not MP, not EM
        mov     cr0, eax
        fwait                           ; only with MP
        FAULTS  7, {fld1}
        FAULTS  7, {fnstsw ax}
        FAULTS  7, {paddd mm0, mm1}
        FAULTS  7, {paddd xmm0, xmm1}
        FAULTS  7, {movss xmm0, [DATA]}
        mov     eax, cr0
        or      eax, 2                  ; MP
        mov     cr0, eax
        FAULTS  7, {fwait}
        clts
        fwait
        fld1
        paddd   xmm0, xmm1
        mov     eax, cr0
        or      eax, 4                  ; EM
        mov     cr0, eax
        fwait
        FAULTS  7, {fld1}
        FAULTS  6, {paddd mm0, mm1}
        FAULTS  6, {paddd xmm0, xmm1}
        mov     cr0, ebp
        CHECK   ebx, 9
        mov     ecx, 3                  ; a task switch's worth: lazily, each time anew
again:  mov     eax, cr0
        or      eax, 8
        mov     cr0, eax
        mov     edi, ecx
        FAULTS  7, {fldz}
        clts
        fldz
        fstp    st0
        mov     ecx, edi
        dec     ecx
        jnz     again
        CHECK   ebx, 12
        fninit
        jmp     done
undefined:
        CHECK   ecx, 6
        jmp     leave_it
unavailable:
        CHECK   ecx, 7
leave_it:
        inc     ebx
        mov     [esp], esi
        iretd
done:
