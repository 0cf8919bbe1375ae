/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/access.h"
