"""Published collections of small images, IDX and CIFAR files, as a site's images and table."""
