; A Multiboot kernel that reports on COM1 what its boot loader gave it, one fact a line, and ends the
; machine through isa-debug-exit (port 501h). With -DFLAT it is a flat binary with address fields,
; otherwise nasm -f elf32 makes an ELF object that needs no more linking than `ld -m elf_i386 -Ttext`.
;
;   nasm -f bin -DFLAT -o probe.bin multiboot_probe.asm

        bits    32
LOAD            equ 200000h
MAGIC           equ 1BADB002h
FLAGS           equ 10007h              ; aligned modules, memory, video mode, address fields
STACK_SIZE      equ 4096

%ifdef FLAT
        org     LOAD
%define START_FLAGS FLAGS
%else
        global  _start
%define START_FLAGS (FLAGS & 0FFFFh)
%endif

start:
        jmp     _start
        align   4
header:
        dd      MAGIC, START_FLAGS, -(MAGIC + START_FLAGS)
%ifdef FLAT
        dd      header, LOAD, load_end, bss_end, _start
%else
        dd      0, 0, 0, 0, 0
%endif
        dd      1, 80, 25, 0            ; text mode, please

_start:
        mov     esp, stack_top
        mov     ebp, ebx
        mov     esi, text_magic
        call    print_fact              ; EAX: 2BADB002
        mov     esi, text_bss
        mov     eax, [stack_bottom]     ; zero, as is all memory behind the file
        call    print_fact
        mov     esi, text_flags
        mov     eax, [ebp]
        call    print_fact
        mov     esi, text_lower
        mov     eax, [ebp + 4]
        call    print_fact
        mov     esi, text_upper
        mov     eax, [ebp + 8]
        call    print_fact
        mov     esi, text_command
        call    print
        mov     esi, [ebp + 16]
        call    print
        call    new_line
        mov     esi, text_loader
        call    print
        mov     esi, [ebp + 64]
        call    print
        call    new_line
        call    print_modules
        call    print_map
        mov     esi, text_framebuffer
        mov     eax, [ebp + 88]
        call    print_fact
        mov     esi, text_done
        call    print
        mov     dx, 501h
        mov     eax, 20h
        out     dx, eax
.stop:
        hlt
        jmp     .stop

print_modules:
        mov     ecx, [ebp + 20]
        mov     ebx, [ebp + 24]
        jecxz   .done
.next:
        mov     esi, text_module
        mov     eax, [ebx]
        call    print_fact
        mov     esi, text_end
        mov     eax, [ebx + 4]
        call    print_fact
        mov     esi, text_first_bytes
        mov     eax, [ebx]
        mov     eax, [eax]
        call    print_fact
        mov     esi, text_string
        call    print
        mov     esi, [ebx + 8]
        call    print
        call    new_line
        add     ebx, 16
        loop    .next
.done:
        ret

print_map:
        mov     ebx, [ebp + 48]
        mov     edi, [ebp + 44]
        add     edi, ebx
.next:
        cmp     ebx, edi
        jae     .done
        mov     esi, text_range
        mov     eax, [ebx + 4]
        call    print_fact
        mov     esi, text_length
        mov     eax, [ebx + 12]
        call    print_fact
        mov     esi, text_type
        mov     eax, [ebx + 20]
        call    print_fact
        add     ebx, [ebx]
        add     ebx, 4
        jmp     .next
.done:
        ret

; The text at ESI, then EAX in hexadecimal and a new line.
print_fact:
        push    eax
        call    print
        pop     eax
        push    ecx
        mov     ecx, 8
.digit:
        rol     eax, 4
        push    eax
        and     al, 0Fh
        cmp     al, 10
        sbb     al, 69h
        das
        call    put
        pop     eax
        loop    .digit
        pop     ecx
new_line:
        mov     al, 10
put:
        push    edx
        push    eax
        mov     dx, 3FDh
.wait:
        in      al, dx
        test    al, 20h
        jz      .wait
        pop     eax
        mov     dx, 3F8h
        out     dx, al
        pop     edx
        ret

print:
        lodsb
        test    al, al
        jz      .done
        call    put
        jmp     print
.done:
        ret

text_magic:       db 'magic ', 0
text_bss:         db 'bss ', 0
text_flags:       db 'flags ', 0
text_lower:       db 'mem_lower ', 0
text_upper:       db 'mem_upper ', 0
text_command:     db 'command line ', 0
text_loader:      db 'loader ', 0
text_module:      db 'module ', 0
text_end:         db '  end ', 0
text_first_bytes: db '  content ', 0
text_string:      db '  string ', 0
text_range:       db 'range ', 0
text_length:      db '  length ', 0
text_type:        db '  type ', 0
text_framebuffer: db 'framebuffer ', 0
text_done:        db 'multiboot probe: done', 10, 0
load_end:

%ifdef FLAT
        absolute $
%else
        section .bss
%endif
stack_bottom:
        resb    STACK_SIZE
stack_top:
bss_end:
