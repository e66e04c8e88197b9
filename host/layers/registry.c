#include "layers/registry.h"

#include "layers/layer.h"

#include <string.h>

const struct layer_type *const layer_types[] = {
    &layer_convolutional, &layer_connected, &layer_lrn,     &layer_maxpool, &layer_avgpool,
    &layer_dropout,       &layer_shortcut,  &layer_softmax, &layer_cost,    NULL,
};

const struct layer_type *layer_type_find(const char *name) {
    for (const struct layer_type *const *type = layer_types; *type; type++) {
        if (strcmp((*type)->name, name) == 0)
            return *type;
        for (const char *const *alias = (*type)->aliases; alias && *alias; alias++) {
            if (strcmp(*alias, name) == 0)
                return *type;
        }
    }
    return NULL;
}
