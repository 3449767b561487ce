// The spare: the backend service (common/backend) in the role spare, with the defaults of that role.
#include "common/backend/main.hpp"

int main(int argc, char** argv)
{
    return hotspare::backend::main(argc, argv, {.role = "spare", .name = "spare", .port = 5002});
}
