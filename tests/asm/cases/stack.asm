; PUSH and POP in all sizes, PUSHA, POPA, ENTER, LEAVE, CALL, RET n.

%define MODE user32
%include "common.inc"

        mov     esi, esp
        push    dword 0x11112222
        push    word 0x3333
        push    byte -1
        CHECK   esp, STACK + 0xFF6
        pop     eax
        CHECK   eax, -1
        pop     cx
        CHECK   ecx, 0x3333
        pop     dword [esp - 4]         ; ESP as base is the one after the pop
        mov     eax, [esp - 4]
        CHECK   eax, 0x11112222
        push    esp                     ; the value before the push
        pop     ebx
        CHECK   ebx, STACK + 0x1000
        CHECK   esp, STACK + 0x1000
        mov     eax, 1
        mov     ecx, 2
        mov     edx, 3
        mov     ebx, 4
        mov     ebp, 5
        mov     edi, 7
        pushad
        CHECK_STACK 12, STACK + 0x1000
        CHECK_STACK 28, 1
        xor     edi, edi
        mov     dword [esp + 12], 0     ; POPAD skips ESP
        popad
        CHECK   edi, 7
        CHECK   esp, STACK + 0x1000
        pusha
        popa
        push    ds
        pop     eax
        CHECK   eax, 0x2B
        push    word [DATA]
        add     esp, 2
        enter   16, 0
        CHECK   ebp, STACK + 0xFFC
        CHECK   esp, STACK + 0xFEC
        leave
        CHECK   ebp, 5
        mov     dword [DATA + 0xFC], 0xAAAA
        mov     ebp, DATA + 0x100
        enter   4, 2
        CHECK   dword [ebp - 4], 0xAAAA
        CHECK   dword [ebp - 8], STACK + 0xFFC
        leave
        push    dword 1
        push    dword 2
        call    function
        CHECK   eax, 3
        CHECK   esp, STACK + 0x1000
        mov     eax, function2
        call    eax
        jmp     done
function:
        mov     eax, [esp + 4]
        add     eax, [esp + 8]
        ret     8
function2:
        ret
done:
