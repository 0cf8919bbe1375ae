/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/leader.h"
int main(void) { return 0; }
