; Boots a Linux kernel that the machine was given: loads the setup code, the kernel, its command line and
; its initial RAM disk to where bios/direct_boot/linux_boot.cpp has decided, and enters the setup code in
; real mode as a boot loader does (Linux Documentation/x86/boot.rst, "Running the kernel").

%include "boot_rom.inc"

        org     0
        OPTION_ROM_HEADER 'Linux kernel'

boot:
        cli
        cld
        mov     ax, BOOT_SCRATCH_SEGMENT
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, SCRATCH_STACK_TOP
        sti

        call    check_initrd
        mov     si, setup_piece
        call    load_piece
        mov     si, command_line_piece
        call    load_piece
        mov     si, kernel_piece
        call    load_piece
        mov     si, initrd_piece
        call    load_piece

        ; The setup code's stack and heap end below the command line.
        mov     ax, KEY_CMDLINE_ADDRESS
        call    read_number
        mov     ecx, eax
        mov     ax, KEY_SETUP_ADDRESS
        call    read_number
        sub     ecx, eax
        sub     ecx, 16
        shr     eax, 4
        cli
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
        movzx   esp, cx
        add     ax, 20h
        push    ax
        push    word 0
        xor     eax, eax
        xor     ebx, ebx
        xor     ecx, ecx
        xor     edx, edx
        xor     esi, esi
        xor     edi, edi
        xor     ebp, ebp
        retf

; Makes sure that the firmware doesn't keep anything where the RAM disk shall lie.
check_initrd:
        mov     ax, KEY_INITRD_SIZE
        call    read_number
        mov     ebp, eax
        test    ebp, ebp
        jz      .fits
        mov     ax, KEY_INITRD_ADDRESS
        call    read_number
        mov     esi, eax
        xor     ebx, ebx
.next:
        call    next_range
        jc      .fits                   ; a firmware without a map: trust the machine's plan
        cmp     dword [SCRATCH_RANGE + 16], E820_RAM
        jne     .other
        cmp     dword [SCRATCH_RANGE + 4], 0
        jne     .other
        mov     eax, esi
        sub     eax, [SCRATCH_RANGE]    ; how far into the range it begins
        jb      .other
        add     eax, ebp
        jc      .other
        cmp     dword [SCRATCH_RANGE + 12], 0
        jne     .fits
        cmp     eax, [SCRATCH_RANGE + 8]
        jbe     .fits
.other:
        test    ebx, ebx
        jnz     .next
        mov     si, message_initrd
        jmp     give_up
.fits:
        ret

setup_piece:
        dw      KEY_SETUP_ADDRESS, KEY_SETUP_SIZE, KEY_SETUP_DATA
command_line_piece:
        dw      KEY_CMDLINE_ADDRESS, KEY_CMDLINE_SIZE, KEY_CMDLINE_DATA
kernel_piece:
        dw      KEY_KERNEL_ADDRESS, KEY_KERNEL_SIZE, KEY_KERNEL_DATA
initrd_piece:
        dw      KEY_INITRD_ADDRESS, KEY_INITRD_SIZE, KEY_INITRD_DATA

message_initrd:
        db      'the firmware keeps memory that the initial RAM disk needs', 13, 10, 0

        BOOT_ROM_ROUTINES
