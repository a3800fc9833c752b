; The last-instruction pointers of a processor that has no selectors (CPUID.7:EBX[13]) and keeps opcode and
; operand of unmasked exceptions only (CPUID.7:EBX[6]).
; mode: kernel32

%define MODE kernel32
%include "common.inc"

ENVIRONMENT equ DATA + 0x40
IMAGE       equ DATA + 0x400
        fninit
first:  fld1
        fnstenv [ENVIRONMENT]
        CHECK   dword [ENVIRONMENT + 12], first
        CHECK   dword [ENVIRONMENT + 16], 0
        CHECK   dword [ENVIRONMENT + 20], 0
        CHECK   dword [ENVIRONMENT + 24], 0xFFFF0000
second: fld     dword [DATA + 0x10]
        fxsave  [IMAGE]
        CHECK   dword [IMAGE + 8], second
        CHECK   dword [IMAGE + 12], 0
        CHECK   dword [IMAGE + 16], 0
        fnstsw  ax                      ; control instructions leave nothing
        fnstcw  [DATA + 0x20]
        fldcw   [DATA + 0x20]
        emms
        fxsave  [IMAGE]
        CHECK   dword [IMAGE + 8], second
        fninit
        mov     word [DATA + 0x20], 0x37B       ; ZE unmasked
        fldcw   [DATA + 0x20]
        fld1
        mov     edi, DATA
third:  fdiv    dword [edi + 0x10]      ; by zero
        fnstenv [ENVIRONMENT]
        CHECK   dword [ENVIRONMENT + 12], third
        CHECK   dword [ENVIRONMENT + 16], 0x00770000
        CHECK   dword [ENVIRONMENT + 20], DATA + 0x10
        fnclex                          ; FNSTENV has masked all
fourth: fnop
        fxsave  [IMAGE]
        CHECK   dword [IMAGE + 8], fourth
        CHECK   dword [IMAGE + 16], DATA + 0x10
        movzx   eax, word [IMAGE + 6]
        CHECK   eax, 0x77
        fninit                          ; the instruction may be gone when it is asked for
fifth:  fldpi
        mov     word [fifth], 0x9090
        fnstenv [ENVIRONMENT]
        CHECK   dword [ENVIRONMENT + 12], fifth
        mov     dword [IMAGE + 12], 0x1234      ; selectors are not to be loaded either
        mov     dword [IMAGE + 20], 0x5678
        fxrstor [IMAGE]
        fnsave  [ENVIRONMENT]
        CHECK   dword [ENVIRONMENT + 12], fourth
        CHECK   dword [ENVIRONMENT + 16], 0x00770000
        CHECK   dword [ENVIRONMENT + 24], 0xFFFF0000
        mov     edi, DATA               ; the pointers of the tests' own last instruction
        fninit
