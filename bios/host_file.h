// Reading whole files from the host, with the one clear line that a person sees when it fails.
#pragma once

#include <string>
#include <vector>

#include "cpu/result.h"
#include "cpu/types.h"

namespace ringshift::bios {

/// The content of the regular file `path`, at most `most` bytes of it; a longer file is an error.
/// `purpose` names the thing in the message: "kernel", "firmware image".
Result<std::vector<u8>> read_host_file(const std::string& path, std::string_view purpose, u64 most);

}  // namespace ringshift::bios
