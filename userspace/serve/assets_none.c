// SPDX-License-Identifier: GPL-2.0-or-later
/* Stands in for build/gen/web_assets.c where the pages could not be bundled. Never linked beside it. */
#include "serve/assets.h"

const struct web_asset web_assets[] = { { 0 } };
const size_t nr_web_assets = 0;
