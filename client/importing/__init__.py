"""Published collections of small pictures, IDX and CIFAR files, as a site's images and table."""
