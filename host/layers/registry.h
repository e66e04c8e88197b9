/* Every layer type there is: a new one adds a line here and in registry.c. */
#ifndef LAYERS_REGISTRY_H
#define LAYERS_REGISTRY_H

struct layer_type;

extern const struct layer_type layer_convolutional, layer_connected, layer_lrn, layer_maxpool,
    layer_avgpool, layer_dropout, layer_shortcut, layer_softmax, layer_cost;

#endif
