#include "models/diffusion/unet.h"
#include "models/text/bert_encoder.h"
#include "models/text/t5_encoder.h"
#include "models/text/text_encoder.h"
#include "models/upscale/compact.h"
#include "models/upscale/dat.h"
#include "models/upscale/rrdb_net.h"
#include "models/upscale/swinir.h"
#include "models/vae/autoencoder_kl.h"
#include "models/vae/tiny_autoencoder.h"
#include "models/vae/vq_model.h"
#include "models/vqgan/latent_transformer.h"
#include "models/vqgan/lpips.h"
#include "models/vqgan/patch_discriminator.h"

namespace safelight {

std::unique_ptr<architecture> make_architecture(const std::string & kind, const config & cfg) {
    if (kind == "text_encoder") return make_text_encoder(cfg);
    if (kind == "bert_encoder") return make_bert_encoder(cfg);
    if (kind == "t5_encoder") return make_t5_encoder(cfg);
    if (kind == "unet") return make_unet(cfg);
    if (kind == "autoencoder_kl") return make_autoencoder_kl(cfg);
    if (kind == "tiny_autoencoder") return make_tiny_autoencoder(cfg);
    if (kind == "latent_transformer") return make_latent_transformer(cfg);
    if (kind == "vq_model") return make_vq_model(cfg);
    if (kind == "patch_discriminator") return make_patch_discriminator(cfg);
    if (kind == "lpips") return make_lpips(cfg);
    if (kind == "rrdb_net") return make_rrdb_net(cfg);
    if (kind == "compact") return make_compact(cfg);
    if (kind == "swinir") return make_swinir(cfg);
    if (kind == "dat") return make_dat(cfg);
    throw error("UNSUPPORTED_MODEL", "There is no model kind named " + kind);
}

}  // namespace safelight
