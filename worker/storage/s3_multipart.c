/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/store.h"
