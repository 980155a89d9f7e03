/* Chapter 5: what an operator, or a thief of its disk, could try. */
#include "cli/demo_story.h"

clo_err demo_attacks(demo *d)
{
    demo_chapter(d, "Eight attacks, carried out");
    return CLO_OK;
}
