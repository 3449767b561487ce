# Compiler, linker and cache settings shared by every target. ccache and mold are used where present, never required.
#
# The presets let ccache hash paths relative to the source tree, so that clones share what they compile. The price: the
# debug information of a shared object names the build folder of the clone that compiled it first.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

add_library(hotspare_options INTERFACE)
target_compile_options(hotspare_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wold-style-cast -Woverloaded-virtual -Wimplicit-fallthrough
  -fno-plt
  # GCC 12 reports moved-from std::variant members of coroutine frames as uninitialised at -O2 (GCC bug 105562 and kin).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  # It sees a coroutine frame's operator new inlined and its operator delete not, and takes them for a mismatched pair.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
if(HOTSPARE_WERROR)
  target_compile_options(hotspare_options INTERFACE -Werror)
endif()
target_include_directories(hotspare_options INTERFACE ${PROJECT_SOURCE_DIR})

if(HOTSPARE_SANITIZE)
  add_compile_options(-fsanitize=${HOTSPARE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HOTSPARE_SANITIZE})
  add_compile_definitions(HOTSPARE_SANITIZED=1)
  if(HOTSPARE_UNITY) # the other builds warn, of the same sources; this one, of many in one, wrongly
    add_compile_options(-w)
  endif()
  if(HOTSPARE_SANITIZE MATCHES "undefined")
    # GCC's check of an object's type needs a pipe to look at memory. Where descriptors have run out, which a balancer
    # must survive, it takes every object for a broken one.
    add_compile_options(-fno-sanitize=vptr)
    # A third of the time to compile is for checks of each access: for null, which address sanitizer names as well when
    # it faults, for alignment and for the size of what a pointer points to, which that knows at run time.
    add_compile_options(-fno-sanitize=null,alignment,object-size)
  endif()
  if(HOTSPARE_SANITIZE MATCHES "thread")
    # Asio orders memory with atomic_thread_fence, which thread sanitizer does not model; it falls back to its own
    # annotations when fences are off, and GCC would warn at every one of them.
    add_compile_options(-Wno-tsan)
  endif()
endif()

# What nearly every file includes, through the suite's own headers: precompiled, it saves a quarter of the time to compile
# the libraries. Nothing of Asio, Beast or JSON: those would be mapped by many files that need nothing of them. In angle
# brackets, as then no path of this clone gets into the compiler cache's key. A file that is compiled with an -O of its
# own cannot use it (GCC 12 does not notice, and crashes): hotspare_optimise() is for those.
set(HOTSPARE_PRECOMPILED
  <algorithm> <array> <chrono> <functional> <map> <memory> <optional> <sstream> <string> <string_view> <utility> <variant>
  <vector> <fmt/format.h> <common/clock.hpp> <common/error.hpp>)

# hotspare_optimise(LEVEL SOURCE...): compiles these files of the folder's targets with LEVEL, such as -O1.
function(hotspare_optimise level)
  set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS ${level})
  set_property(SOURCE ${ARGN} PROPERTY SKIP_PRECOMPILE_HEADERS ON)
endfunction()
