; Boots a Multiboot kernel that the machine was given (Multiboot Specification 0.6.96 §3.2-3.3): loads
; the information block, the modules and the kernel, completes the block with what only the firmware
; knows (the memory map), and enters the kernel in 32-bit protected mode.
;
; The information block lies in conventional memory where neither the kernel nor the firmware is. Its
; first kilobyte is this ROM's scratch area and stack, so that the kernel may be loaded over all else.
; bios/direct_boot/multiboot.cpp makes the block by the same offsets.

%include "boot_rom.inc"

BLOCK_GDT_POINTER       equ 080h        ; limit and address, for LGDT
BLOCK_INFORMATION       equ 400h        ; the Multiboot information structure

INFORMATION_MEM_LOWER   equ BLOCK_INFORMATION + 4
INFORMATION_MEM_UPPER   equ BLOCK_INFORMATION + 8
INFORMATION_MMAP_LENGTH equ BLOCK_INFORMATION + 44  ; how much room there is, until filled in
INFORMATION_MMAP_ADDR   equ BLOCK_INFORMATION + 48
INFORMATION_FLAGS       equ BLOCK_INFORMATION
FLAG_FRAMEBUFFER        equ 1 << 12

MMAP_ENTRY_SIZE         equ 24          ; the size field itself and 20 bytes
BOOT_MAGIC              equ 2BADB002h
CODE_SELECTOR           equ 08h
DATA_SELECTOR           equ 10h

        org     0
        OPTION_ROM_HEADER 'Multiboot kernel'

boot:
        cli
        cld
        mov     ax, BOOT_SCRATCH_SEGMENT
        mov     ds, ax
        mov     ss, ax
        mov     esp, SCRATCH_STACK_TOP
        sti

        mov     si, information_piece
        call    load_piece
        mov     ax, KEY_SETUP_ADDRESS
        call    read_number
        shr     eax, 4
        cli
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, SCRATCH_STACK_TOP
        sti

        call    fill_memory_information
        test    dword [INFORMATION_FLAGS], FLAG_FRAMEBUFFER
        jz      .video_done
        mov     ax, 0003h               ; the text mode that the block describes
        int     10h
.video_done:
        mov     ax, 2401h               ; A20 on
        int     15h
        in      al, 92h
        test    al, 2
        jnz     .a20_done
        or      al, 2
        and     al, 0FEh
        out     92h, al
.a20_done:
        mov     ax, KEY_KERNEL_ENTRY
        call    read_number
        push    eax
        mov     si, modules_piece
        call    load_piece
        mov     si, kernel_piece        ; from here on the firmware's memory may be gone
        cli
        call    load_piece

        pop     ebp
        mov     bx, BLOCK_INFORMATION
        call    physical_address
        mov     edi, eax
        xor     eax, eax
        mov     ax, cs
        shl     eax, 4
        add     eax, protected_mode
        lgdt    [BLOCK_GDT_POINTER]
        push    dword CODE_SELECTOR
        push    eax
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        o32 retf

        bits    32
protected_mode:
        mov     eax, DATA_SELECTOR
        mov     ds, eax
        mov     es, eax
        mov     fs, eax
        mov     gs, eax
        mov     ss, eax
        lea     esp, [edi - BLOCK_INFORMATION + SCRATCH_STACK_TOP]
        mov     ebx, edi
        mov     ecx, ebp
        xor     edx, edx
        xor     esi, esi
        xor     edi, edi
        xor     ebp, ebp
        mov     eax, BOOT_MAGIC
        jmp     ecx
        bits    16

; Writes the firmware's memory map and the two old-style sizes into the information block.
fill_memory_information:
        int     12h
        movzx   eax, ax
        mov     [INFORMATION_MEM_LOWER], eax
        mov     dword [INFORMATION_MEM_UPPER], 0
        ; The map lies in the block's own segment.
        call    block_address
        mov     esi, [INFORMATION_MMAP_ADDR]
        sub     esi, eax
        mov     ebp, [INFORMATION_MMAP_LENGTH]
        mov     dword [INFORMATION_MMAP_LENGTH], 0
        xor     ebx, ebx
.next:
        cmp     ebp, MMAP_ENTRY_SIZE
        jb      .done
        call    next_range
        jc      .done
        mov     dword [si], MMAP_ENTRY_SIZE - 4
        mov     di, SCRATCH_RANGE
        mov     cx, 5
        add     si, 4
.copy:
        mov     eax, [di]
        mov     [si], eax
        add     di, 4
        add     si, 4
        dec     cx
        jnz     .copy
        sub     ebp, MMAP_ENTRY_SIZE
        add     dword [INFORMATION_MMAP_LENGTH], MMAP_ENTRY_SIZE
        call    note_upper_memory
        test    ebx, ebx
        jnz     .next
.done:
        ret

; If the range is the RAM at 1 MiB, its KiB from there are mem_upper.
note_upper_memory:
        cmp     dword [SCRATCH_RANGE + 16], E820_RAM
        jne     .done
        cmp     dword [SCRATCH_RANGE + 4], 0
        jne     .done
        mov     eax, 100000h
        sub     eax, [SCRATCH_RANGE]
        jb      .done
        mov     ecx, [SCRATCH_RANGE + 8]
        cmp     dword [SCRATCH_RANGE + 12], 0
        je      .below_4g
        mov     ecx, -1
.below_4g:
        sub     ecx, eax
        jbe     .done
        shr     ecx, 10
        mov     [INFORMATION_MEM_UPPER], ecx
.done:
        ret

block_address:
        xor     eax, eax
        mov     ax, ds
        shl     eax, 4
        ret

information_piece:
        dw      KEY_SETUP_ADDRESS, KEY_SETUP_SIZE, KEY_SETUP_DATA
modules_piece:
        dw      KEY_INITRD_ADDRESS, KEY_INITRD_SIZE, KEY_INITRD_DATA
kernel_piece:
        dw      KEY_KERNEL_ADDRESS, KEY_KERNEL_SIZE, KEY_KERNEL_DATA

        BOOT_ROM_ROUTINES
