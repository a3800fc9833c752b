; CMOVcc reads its memory operand even if the condition is false.
; set: ebx=0x10000000
; fault: 14 error=4 cr2=0x10000000

%define MODE user32
%include "common.inc"

        test    ebx, ebx                ; not zero
        cmovz   eax, [ebx]
