#include "bios/direct_boot/direct_boot.h"

#include "bios/direct_boot/linux_kernel.h"
#include "bios/direct_boot/multiboot_kernel.h"
#include "bios/host_file.h"

namespace ringshift::bios {

namespace {

// More than any guest can have below 4 GiB.
constexpr u64 kLargestFile = u64{4} << 30;

}  // namespace

Result<DirectBoot> prepare_direct_boot(KernelBoot boot) {
  if (looks_like_linux(boot.kernel.content)) return prepare_linux_boot(std::move(boot));
  if (looks_like_multiboot(boot.kernel.content)) return prepare_multiboot_boot(std::move(boot));
  return Error{"kernel '" + boot.kernel.name +
               "': is neither a Linux kernel image nor a Multiboot " + "kernel"};
}

Result<DirectBoot> load_direct_boot(const std::string& kernel,
                                    const std::vector<std::string>& initrds,
                                    const std::string& command_line, const MemoryLayout& memory,
                                    LongMode long_mode) {
  Result<std::vector<u8>> content = read_host_file(kernel, "kernel", kLargestFile);
  if (!content) return content.error();
  KernelBoot boot{.kernel = {kernel, std::move(content).value()},
                  .initrds = {},
                  .command_line = command_line,
                  .memory = memory,
                  .long_mode = long_mode};
  const bool arguments_follow = !looks_like_linux(boot.kernel.content);
  for (const std::string& name : initrds) {
    const std::string path = arguments_follow ? name.substr(0, name.find(' ')) : name;
    Result<std::vector<u8>> file = read_host_file(path, "initrd", kLargestFile);
    if (!file) return file.error();
    boot.initrds.push_back({name, std::move(file).value()});
  }
  return prepare_direct_boot(std::move(boot));
}

}  // namespace ringshift::bios
