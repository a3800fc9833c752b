; #DE: AAM 0.
; set: eax=5
; fault: 0

%define MODE user32
%include "common.inc"

        aam     0
