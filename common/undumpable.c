/* SPDX-License-Identifier: Apache-2.0 */
#include "common/undumpable.h"

#include <sys/prctl.h>

#include "common/check.h"

void undumpable(void)
{
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
}
