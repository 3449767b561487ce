# Every dependency is a Debian 12 package (the list with reasons is in README.md); nothing is fetched at build time.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(CURL 7.85 REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
# libical's CMake package pulls in its GLib binding, which is not used.
find_path(LIBICAL_INCLUDE_DIR libical/ical.h REQUIRED)
find_library(LIBICAL_LIBRARY ical REQUIRED)
mark_as_advanced(LIBICAL_INCLUDE_DIR LIBICAL_LIBRARY)
add_library(libical UNKNOWN IMPORTED)
set_target_properties(libical PROPERTIES
  IMPORTED_LOCATION "${LIBICAL_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${LIBICAL_INCLUDE_DIR}")
# libsodium comes without a CMake package.
find_path(SODIUM_INCLUDE_DIR sodium.h REQUIRED)
find_library(SODIUM_LIBRARY sodium REQUIRED)
mark_as_advanced(SODIUM_INCLUDE_DIR SODIUM_LIBRARY)
add_library(libsodium UNKNOWN IMPORTED)
set_target_properties(libsodium PROPERTIES
  IMPORTED_LOCATION "${SODIUM_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${SODIUM_INCLUDE_DIR}")
# Debian 12's c-ares (1.18) comes without a CMake package.
find_path(CARES_INCLUDE_DIR ares.h REQUIRED)
find_library(CARES_LIBRARY cares REQUIRED)
mark_as_advanced(CARES_INCLUDE_DIR CARES_LIBRARY)
add_library(libcares UNKNOWN IMPORTED)
set_target_properties(libcares PROPERTIES
  IMPORTED_LOCATION "${CARES_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${CARES_INCLUDE_DIR}")
# Debian 12's hiredis (0.14) comes without a CMake package.
find_path(HIREDIS_INCLUDE_DIR hiredis/hiredis.h REQUIRED)
find_library(HIREDIS_LIBRARY hiredis REQUIRED)
mark_as_advanced(HIREDIS_INCLUDE_DIR HIREDIS_LIBRARY)
add_library(hiredis UNKNOWN IMPORTED)
set_target_properties(hiredis PROPERTIES
  IMPORTED_LOCATION "${HIREDIS_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${HIREDIS_INCLUDE_DIR}")
if(HOTSPARE_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()

# Boost.Asio and Boost.Beast are compiled once, in common/boost_impl.cpp, instead of into every object.
add_library(hotspare_boost INTERFACE)
target_compile_definitions(hotspare_boost INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ALLOW_DEPRECATED_HEADERS)
target_link_libraries(hotspare_boost INTERFACE Boost::headers Threads::Threads)
