// The one translation unit that holds Boost.URL's compiled parts, so that the suite needs no libboost-url package.
#include <boost/url/src.hpp>
