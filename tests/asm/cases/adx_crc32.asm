; ADCX, ADOX carry in CF and OF alone; CRC32 is the Castagnoli polynomial.

%define MODE user32
%include "common.inc"

        mov     eax, 0xFFFFFFFF
        mov     ecx, 1
        xor     edx, edx                ; CF = OF = 0
        adcx    eax, ecx
        CHECK_FLAGS CF | OF | ZF, CF | ZF
        CHECK   eax, 0
        mov     eax, 0xFFFFFFFF
        adox    eax, ecx
        CHECK_FLAGS CF | OF, CF | OF
        CHECK   eax, 0
        mov     dword [DATA], '1234'
        mov     dword [DATA + 4], '5678'
        mov     byte [DATA + 8], '9'
        mov     eax, -1
        crc32   eax, dword [DATA]
        crc32   eax, word [DATA + 4]
        crc32   eax, word [DATA + 6]
        crc32   eax, byte [DATA + 8]
        not     eax
        CHECK   eax, 0xE3069283         ; the check value of CRC-32C
