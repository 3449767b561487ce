// The primary: the backend service (common/backend) in the role primary, with the defaults of that role.
#include "common/backend/main.hpp"

int main(int argc, char** argv)
{
    return hotspare::backend::main(argc, argv, {.role = "primary", .name = "primary", .port = 5001});
}
