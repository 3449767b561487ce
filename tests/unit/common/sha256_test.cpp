#include "common/sha256.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare {
namespace TEST_FILE {

// From FIPS 180-4's examples and NIST's "SHA Test Vectors for Hashing Byte-Oriented Messages".
TEST(Sha256, EqualsTheExamplesOfItsStandard)
{
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DiffersByEachByteAtTheEdgeOfABlock)
{
    for (std::size_t size = 54; size < 68; ++size) {
        const std::string text(size, '\0');
        EXPECT_NE(sha256(text), sha256(text + '\0')) << size;
    }
}

} // namespace TEST_FILE
} // namespace hotspare
