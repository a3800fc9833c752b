// Fast paths of Processor's memory templates: a tag compare and a host access; everything else is in
// memory_access.cpp.
#pragma once
