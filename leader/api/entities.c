/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api.h"
