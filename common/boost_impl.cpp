// The one translation unit that holds Boost.Asio's and Boost.Beast's compiled parts (see cmake/dependencies.cmake).
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
