// The one translation unit that holds Boost.Asio's and Boost.Beast's compiled parts (see cmake/dependencies.cmake).
#include <boost/asio/impl/src.hpp>

// Beast 1.81 asserts that a last chunk never arrives as "0 CR LF" and then one byte more, which is the peer's to
// decide: any client or backend could end the process with it. Its code is right without that assertion (the fuzz
// target `chunked` delivers every body byte by byte).
#define BOOST_DISABLE_ASSERTS
#include <boost/assert.hpp>

#include <boost/beast/src.hpp>
