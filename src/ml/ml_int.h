/* Shared inside the training engine. */
#ifndef CLO_ML_INT_H
#define CLO_ML_INT_H
#include "ml/ml.h"

void clo_ml_features_free(clo_ml_feature *features, size_t count);
/** Deep copy; given to the caller. */
CLO_R clo_ml_features_copy(const clo_ml_feature *from, size_t count, clo_ml_feature **out);
/** A model of the data set's features with zero weights; given to the caller. */
CLO_R clo_ml_model_new(const clo_ml_dataset *d, clo_ml_model **out);
/** A row as the model sees it: out[feature_count + 1] = the centred, scaled features and the bias input, of norm <= 1. */
void clo_ml_row_transform(const float *x, const double *center, double scale, size_t feature_count, float *out);
#endif
